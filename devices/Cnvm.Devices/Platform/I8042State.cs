namespace Cnvm.Devices.Platform;

/// <summary>State of the keyboard controller's ports.</summary>
/// <param name="ExpectsOutputPort">Command 0xd1 was written: the next data byte goes to the output port.</param>
public sealed record I8042State(bool ExpectsOutputPort);
