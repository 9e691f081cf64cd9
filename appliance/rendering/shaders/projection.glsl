// One value along each ray, found by "along" of another file and then windowed; a slab is a ray of a
// few steps. There is a program for each way and no branch: software rasterisers go through every branch, taken or not.
uniform sampler3D volume;

float along(vec3 start, vec2 inside);
float grey(float value);

void main() {
    vec3 start = begun();
    vec2 inside = steps_inside(start);
    float value = along(start, inside);
    float is_inside = ceil(inside.x) > inside.y ? 0.0 : 1.0;
    painted = vec4(is_inside * grey(value));
}
