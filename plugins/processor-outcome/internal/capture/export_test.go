package capture

// Counts returns what a State has counted; one that was restored has counted anew.
func (s *State) Counts() (size, held int) { return s.size, s.held }
