module tools

go 1.26.0

require github.com/fullstorydev/grpcurl v1.9.4
