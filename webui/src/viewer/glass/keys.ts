/** Keys of what comes after the first picture. */

export const AUTO_WINDOW_KEY = 'U'
export const TRUE_SIZE_KEY = 'K'
