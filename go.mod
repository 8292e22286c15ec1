module glasshouse

go 1.26.0
