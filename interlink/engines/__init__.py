"""The models that stages may use, one small protocol each. Importing this imports none of them."""
