module tools

go 1.25

require github.com/micro/micro/v5 v5.8.0
