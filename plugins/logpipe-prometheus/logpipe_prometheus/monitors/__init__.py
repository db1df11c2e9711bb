"""The inputs that show the other stages under the plugin's names; `status.py` has what they share."""
