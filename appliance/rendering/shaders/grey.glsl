uniform sampler2D table;        // 256x256: the grey of each of 65536 values

float grey_of_entry(int entry) {
    return texelFetch(table, ivec2(entry & 255, entry >> 8), 0).r;
}

// Between two entries too: of a narrow window one stored value is several levels of grey.
float grey(float value) {
    float at = clamp(value, 0.0, 1.0) * 65535.0;
    return mix(grey_of_entry(int(at)), grey_of_entry(min(int(at) + 1, 65535)), fract(at));
}
