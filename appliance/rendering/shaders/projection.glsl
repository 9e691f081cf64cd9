// One value along each ray, found by "along" of another file and then windowed; a plane is a ray of one step or of a slab's
// few. There is a program for each way and no branch: software rasterisers go through every branch, taken or not.
uniform sampler3D volume;
uniform sampler2D table;        // 256x256: the grey of each of 65536 values

float along(vec3 start, vec2 inside);

void main() {
    vec3 start = origin + place.x * across + place.y * down;
    vec2 inside = steps_inside(start);
    float value = along(start, inside);
    int entry = int(clamp(value, 0.0, 1.0) * 65535.0 + 0.5);
    float is_inside = ceil(inside.x) > inside.y ? 0.0 : 1.0;
    painted = vec4(is_inside * texelFetch(table, ivec2(entry & 255, entry >> 8), 0).r);
}
