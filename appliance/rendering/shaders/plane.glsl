// A plane without thickness: one value for each pixel, and no ray, whose way through the box costs more than the value itself.
uniform sampler3D volume;
uniform vec3 origin;       // of the first corner of the picture, in texture space
uniform vec3 across;       // from the first corner to the right edge
uniform vec3 down;         // from the first corner to the lower edge
in vec2 place;
out vec4 painted;

float grey(float value);

void main() {
    vec3 at = origin + place.x * across + place.y * down;
    float is_inside = clamp(at, 0.0, 1.0) == at ? 1.0 : 0.0;
    painted = vec4(is_inside * grey(textureLod(volume, at, 0.0).r));
}
