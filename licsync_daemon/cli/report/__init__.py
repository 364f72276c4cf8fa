"""`report`: who is counted twice, from downloaded files: read, judged, and printed as a table, a page, CSV, JSON or Markdown."""
