module tools

go 1.26.0

require github.com/bojand/ghz v0.93.0
