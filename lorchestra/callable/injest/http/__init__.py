"""Questions to a provider over HTTP, asked at its pace and again where that helps."""
