"""What the API objects stand on: connections, requests, the inbox, the callback dispatcher."""
