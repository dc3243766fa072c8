namespace Cnvm.Vmm.Migration;

/// <summary>A message of the target.</summary>
internal readonly record struct MigrationReply(FrameType Type, byte[] Payload);
