// Shrunk: the mean of the source pixels under each pixel, each by the area that is covered, so that nothing between two
// samples is lost and no grid beats with another.
vec4 sampled(vec2 at) {
    vec2 reach = 0.5 * max(region.zw / size, vec2(1.0));
    vec2 low = max(at - reach, vec2(0.0));
    vec2 high = min(at + reach, bounds);
    ivec2 first = ivec2(floor(low));
    ivec2 last = ivec2(ceil(high)) - 1;
    vec4 sum = vec4(0.0);
    float area = 0.0;
    for (int y = first.y; y <= last.y; ++y) {
        float part_y = min(high.y, float(y + 1)) - max(low.y, float(y));
        for (int x = first.x; x <= last.x; ++x) {
            float part = part_y * (min(high.x, float(x + 1)) - max(low.x, float(x)));
            sum += part * texelFetch(frame, ivec2(x, y), 0);
            area += part;
        }
    }
    return sum / max(area, 1e-9);
}
