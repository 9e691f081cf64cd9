// The mean along the ray.
float along(vec3 start, vec2 inside) {
    float sum = 0.0;
    float count = 0.0;
    for (float i = ceil(inside.x); i <= inside.y; i += 1.0) {
        sum += textureLod(volume, (start + i * ahead) * reach, 0.0).r;
        count += 1.0;
    }
    return sum / max(count, 1.0);
}
