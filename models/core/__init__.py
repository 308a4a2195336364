"""What every room rests on: types, errors, validation, the weights registry, the device."""
