// A source pixel for each pixel: no weights, whose rounding could change a value.
vec4 sampled(vec2 at) {
    return texelFetch(frame, clamp(ivec2(floor(at)), ivec2(0), ivec2(bounds) - 1), 0);
}
