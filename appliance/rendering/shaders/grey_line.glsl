// Grey of a straight window, reckoned: two look-ups in a table are a quarter of the time of a plane.
uniform vec2 line;              // slope and offset of grey over a value in 0…1 of the texture's range

float grey(float value) {
    return clamp(value * line.x + line.y, 0.0, 1.0);
}
