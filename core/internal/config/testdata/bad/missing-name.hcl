pipeline {
  processor {}
}
