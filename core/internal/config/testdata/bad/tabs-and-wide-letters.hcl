runner {
	name = "größe 你好", concurrency = 3
}
