"""What goes over the wire: requests and answers of the API, as the server and the client know them."""
