/** Type of what is dragged from the list to a pane: the UID of a series. */
export const SERIES_TYPE = 'application/x-series-uid'
