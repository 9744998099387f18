"""The signaling server: rules over an engine, behind links. Never imports the SDK."""
