package main

import _ "github.com/podrunner/runner/sdk/protocol"

func main() {}
