// The largest value along a few steps, sought no further than the upper end of the window. No block is left out: to find out which would
// cost more than the steps themselves.
uniform vec2 ends;              // of the window, in 0…1 of the texture's range

float along(vec3 start, vec2 inside) {
    float best = ends.x;
    for (float i = ceil(inside.x); i <= inside.y && best < ends.y; i += 1.0) {
        best = max(best, textureLod(volume, (start + i * ahead) * reach, 0.0).r);
    }
    return best;
}
