"""The page of a person, of a researcher and of an operator: `plus studio`.

Routes, templates and drawings; what they show and change is done by profiles, serve, recipes and by what runs wrote.
"""
