"""The built-in library: a sentence becomes wishes, wishes become terms of a task's fields.

words (tokens, numbers, units) -> vocabulary (phrases) -> parts -> sentence (wishes) -> robot (what
the task offers) -> columns -> terms -> compose (programs) and measures (fitness); diagnosis says
what to change. Everything here is a pure function of the request.
"""
