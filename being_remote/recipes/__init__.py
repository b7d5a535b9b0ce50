"""The kinds of jobs: how each is planned, started, measured, verified and resumed.

Each is a `jobs.recipe.Recipe`. The one room in which jobs and the tracker meet.
"""
