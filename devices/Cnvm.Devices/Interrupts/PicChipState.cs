namespace Cnvm.Devices.Interrupts;

/// <summary>Registers of one 8259A.</summary>
public sealed record PicChipState
{
    /// <summary>IRR, IMR and ISR (8259A datasheet, "Interrupt Request Register" and on).</summary>
    public byte Request { get; init; }

    public byte Mask { get; init; }

    public byte Service { get; init; }

    /// <summary>Levels at the inputs.</summary>
    public byte Levels { get; init; }

    /// <summary>Edge/level control register: bit n set, input n is level-triggered.</summary>
    public byte LevelTriggered { get; init; }

    /// <summary>ICW2: vector of input 0.</summary>
    public byte VectorBase { get; init; }

    /// <summary>The input of highest priority, 0 to 7.</summary>
    public byte TopPriority { get; init; }

    /// <summary>Initialisation word that is expected next: 0 none, 2, 3 or 4.</summary>
    public byte NextInitWord { get; init; }

    public bool ExpectsIcw4 { get; init; }

    public bool IsSingle { get; init; }

    public bool AllLevelTriggered { get; init; }

    public bool AutoEoi { get; init; }

    public bool RotateOnAutoEoi { get; init; }

    public bool SpecialFullyNested { get; init; }

    public bool SpecialMask { get; init; }

    public bool ReadsService { get; init; }

    public bool IsPolled { get; init; }
}
