namespace Cnvm.Hypervisor.State.Format;

/// <summary>One element as it stands in a state: nothing of what it means is known.</summary>
/// <param name="Payload">Not copied.</param>
public readonly record struct StateElement(int Number, ElementType Type, bool IsMandatory, string Name, ReadOnlyMemory<byte> Payload);
