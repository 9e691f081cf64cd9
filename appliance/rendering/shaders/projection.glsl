// One value along each ray, found by "along" of another file and then windowed; a plane is a ray of one step or of a slab's
// few. There is a program for each way and no branch: software rasterisers go through every branch, taken or not.
uniform sampler3D volume;
uniform sampler2D table;        // 256x256: the grey of each of 65536 values

float along(vec3 start, vec2 inside);

float grey(int entry) {
    return texelFetch(table, ivec2(entry & 255, entry >> 8), 0).r;
}

void main() {
    vec3 start = begun();
    vec2 inside = steps_inside(start);
    float value = along(start, inside);
    float at = clamp(value, 0.0, 1.0) * 65535.0;
    float is_inside = ceil(inside.x) > inside.y ? 0.0 : 1.0;
    // Between two entries too: of a narrow window one stored value is several levels of grey.
    painted = vec4(is_inside * mix(grey(int(at)), grey(min(int(at) + 1, 65535)), fract(at)));
}
