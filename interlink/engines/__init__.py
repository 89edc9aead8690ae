"""The models that stages use, with one base class per kind. Importing this package imports none of them."""
