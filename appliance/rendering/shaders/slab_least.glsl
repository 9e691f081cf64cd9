// The least value along a few steps, sought no further than the lower end of the window; as slab_largest.glsl.
uniform vec2 ends;              // of the window, in 0…1 of the texture's range

float along(vec3 start, vec2 inside) {
    float best = ends.y;
    for (float i = ceil(inside.x); i <= inside.y && best > ends.x; i += 1.0) {
        best = min(best, textureLod(volume, (start + i * ahead) * reach, 0.0).r);
    }
    return best;
}
