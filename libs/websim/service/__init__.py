"""What every service is built from: settings, logs, shutdown, health and metrics over HTTP.

Import the modules directly (`from websim.service.errors import UserError`): this package stays
empty so that a light command pays only for what it uses. Nothing here knows a particular service.
"""
