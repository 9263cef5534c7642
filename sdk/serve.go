package sdk

// Serve is the main function of a plugin program. It does not return.
func Serve(p Plugin) {
	_ = p
}
