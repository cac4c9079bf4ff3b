"""From the model to text: the templates, compiled ahead or a user's own through Jinja2."""
