"""How Google Sheets is reached: requests to it, and the tokens that they carry."""
