"""MuJoCo WebSim."""
