// The mean along the ray. Each sample is already the mean of the texels about it, as far as the next: along a long ray every second one
// gives the same mean to a hundredth of a level of grey.
const float LONG = 64.0;

float along(vec3 start, vec2 inside) {
    float stride = inside.y - inside.x < LONG ? 1.0 : 2.0;
    float sum = 0.0;
    float count = 0.0;
    for (float i = ceil(inside.x); i <= inside.y; i += stride) {
        sum += textureLod(volume, (start + i * ahead) * reach, 0.0).r;
        count += 1.0;
    }
    return sum / max(count, 1.0);
}
