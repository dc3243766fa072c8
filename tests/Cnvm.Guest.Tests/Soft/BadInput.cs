namespace Cnvm.Guest.Tests.Soft;

public sealed class BadInput() : BadInputTests("soft");
