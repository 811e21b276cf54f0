"""Web views of a worker, on Faust's own server: health, metrics, the JSON API, the dashboard."""
