package receipt

// For tests that use receipttest, which imports this package.
var Full = full
