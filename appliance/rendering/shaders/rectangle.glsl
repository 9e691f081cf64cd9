// One rectangle over the whole picture. "place" runs from (0, 0) at the first pixel's corner to (1, 1) at the last one's,
// y downwards: the picture is read back from its first row on.
in vec2 corner;
out vec2 place;

void main() {
    place = corner * 0.5 + 0.5;
    gl_Position = vec4(corner, 0.0, 1.0);
}
