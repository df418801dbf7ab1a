"""gwrsa."""
