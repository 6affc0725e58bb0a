package webhook

// Sign is for the standard's vectors, which have times and ids of their own.
var Sign = sign
