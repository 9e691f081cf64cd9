// A surface that stands on a line: one value for each pixel. Each column has its own place in the volume, all run the same way down.
uniform sampler3D volume;
uniform sampler2D columns;      // of each the place of its middle, in texture space; the fourth is 0 where the line has ended
uniform vec3 down;              // from the first edge of the picture to the lower one, in texture space
in vec2 place;
out vec4 painted;

float grey(float value);

void main() {
    vec4 column = texelFetch(columns, ivec2(int(place.x * float(textureSize(columns, 0).x)), 0), 0);
    vec3 at = column.xyz + (place.y - 0.5) * down;
    float is_inside = clamp(at, 0.0, 1.0) == at ? column.w : 0.0;
    painted = vec4(is_inside * grey(textureLod(volume, at, 0.0).r));
}
