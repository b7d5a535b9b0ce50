"""One module for each verb that a person says: it decides, joins the rest, and prints nothing."""
