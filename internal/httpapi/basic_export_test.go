package httpapi

// BasicCredentials reads the header Authorization of HTTP Basic.
func BasicCredentials(header string) (user, password string, ok bool, err error) {
	return basicCredentials(header)
}
