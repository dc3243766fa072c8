namespace Cnvm.Devices.Interrupts;

/// <summary>Both 8259A of a PC.</summary>
public sealed record PicState(PicChipState Master, PicChipState Slave);
