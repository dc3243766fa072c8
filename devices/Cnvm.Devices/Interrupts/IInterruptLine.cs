namespace Cnvm.Devices.Interrupts;

/// <summary>A wired interrupt as its device sees it. Any thread.</summary>
public interface IInterruptLine
{
    /// <summary>Sets the line's level; an edge-triggered pin latches the rise.</summary>
    void SetLevel(bool asserted);
}
